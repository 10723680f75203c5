// Package atest helps tests of a, so that it may import what is for tests.
package atest

import _ "github.com/everup/everup/shared/labtest"
