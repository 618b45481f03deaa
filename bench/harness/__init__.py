"""What bench/batch is made of; bench/README.md says what it measures and how."""
