// Package x is part of a.
package x
