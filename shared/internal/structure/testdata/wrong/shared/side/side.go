// Package side may import mid.
package side

import _ "github.com/everup/everup/shared/mid"
