// Package buildinfo tells which everup this is.
package buildinfo

import (
	"runtime"
	"runtime/debug"
)

// version is set by the linker: -X github.com/everup/everup/shared/buildinfo.version=v1.2.3.
var version = ""

// Info describes a build.
type Info struct {
	Version  string `json:"version"`            // vX.Y.Z, or "devel"
	Revision string `json:"revision,omitempty"` // commit, where the build recorded one
	Modified bool   `json:"modified,omitempty"` // the tree had changes
	Go       string `json:"go"`
	Platform string `json:"platform"` // linux/amd64
}

// Read returns what is known of the running binary.
func Read() Info {
	in := Info{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if in.Version == "" {
		in.Version = "devel"
	}
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return in
	}
	for _, s := range bi.Settings {
		switch s.Key {
		case "vcs.revision":
			in.Revision = s.Value
		case "vcs.modified":
			in.Modified = s.Value == "true"
		}
	}
	return in
}

// String returns "v1.2.3 (0123456789ab, go1.26.8, linux/amd64)".
func (i Info) String() string {
	s := i.Version + " ("
	if len(i.Revision) >= 12 {
		s += i.Revision[:12]
		if i.Modified {
			s += "+changes"
		}
		s += ", "
	}
	return s + i.Go + ", " + i.Platform + ")"
}
