"""The bus under everything that can happen to it: processes killed and frozen, stores put back."""
