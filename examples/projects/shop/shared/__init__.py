"""Code that more than one flow of the project "shop" may import."""
