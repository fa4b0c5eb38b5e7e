"""The broker: messages that carry ids, sent to Redis or a folder, and read without taking them."""
