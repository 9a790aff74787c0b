"""The bus behind the gateway's port."""
