"""What spans packages; the tests of one package stand beside it."""
