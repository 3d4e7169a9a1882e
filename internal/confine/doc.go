// Package confine takes from this process what it does not need, before it reads a secret: the right to be looked into,
// the right to become somebody else, and dumps of its memory. What is taken cannot be given back, and some of it goes on
// to the commands that are started later.
package confine
