"""What people see, a file per noun: pure functions from the contract's types to renderables."""
