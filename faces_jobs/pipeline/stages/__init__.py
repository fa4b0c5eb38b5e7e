"""The stages that batches of frames go through, in the order of `item_stages`."""
