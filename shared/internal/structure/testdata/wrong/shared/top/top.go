// Package top breaks the rules of the house.
package top

import (
	stdlog "log"
	"os"
)

// T has a doc comment.
type T struct{}

// init is not allowed.
func init() {
	os.Exit(1)
}

// what stands apart is no doc.

func Bare() {
	stdlog.Fatalf("gone")
}

type Naked struct{}

func (*T) Method() {}

func (hidden[K]) Method() {}

type hidden[K any] struct{}
