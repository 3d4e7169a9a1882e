// Package rig runs candidates of several kinds beside one another, asks them, and reads what they and etcd use.
package rig
