// Package labtest may import anything of shared.
package labtest

import _ "github.com/everup/everup/shared/top"
