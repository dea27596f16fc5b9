"""The registration sources of this product, and the turns in which all are asked."""
