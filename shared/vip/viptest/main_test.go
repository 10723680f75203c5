package viptest

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets the tests wait beside each other: they spend nearly all of their time so.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}
