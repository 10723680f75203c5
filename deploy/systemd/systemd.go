// Package systemd holds the units of the five daemons, their slice, users and directories, and drop-ins for what not
// every host needs. They hold for systemd 252 and later; packages install them as they are.
//
// Each daemon finds its configuration at /etc/everup/<daemon>.yaml and has directories of its own:
// /var/lib/everup/<daemon> and /run/everup/<daemon>, where the admin socket <daemon>.sock lies.
package systemd

import "embed"

// Files are the units (*.service, everup.slice), everup.sysusers, everup.tmpfiles, and dropins/*.conf.
//
//go:embed *.service *.slice everup.sysusers everup.tmpfiles dropins
var Files embed.FS
