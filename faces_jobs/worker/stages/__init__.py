"""The stages of an item: cut or uncut, then find, link, draw and bind its parts."""
