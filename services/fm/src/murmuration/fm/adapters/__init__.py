"""What fm speaks to outside of the site."""
