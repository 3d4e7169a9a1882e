//go:build !linux

package confine

// Memory does nothing here.
func Memory() error { return nil }

// Rights does nothing here.
func Rights() error { return nil }
