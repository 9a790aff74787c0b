"""Baseboard management controllers: one port, spoken by Redfish and by IPMI."""
