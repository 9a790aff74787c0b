"""What mur does, a file per noun. Asking and writing JSON here; what people see is in `views`."""
