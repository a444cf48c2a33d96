"""The seven things a person does with the product, each in a real terminal."""
