// Package stray is on no tier.
package stray
