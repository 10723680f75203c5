package lbd

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestTestssl has testssl.sh look for weak versions, ciphers and known holes, with the default policy. What it says of the certificate itself is
// not asked for.
func TestTestssl(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: testssl.sh takes a minute")
	}
	labtest.Needs(t, "testssl")
	dir := t.TempDir()
	b := start(t, "listen: [{addr: '127.0.0.1:0', tls: web}]\nhandshakes: {rate: 0}\n"+
		"tls: {web: {certificates: "+bothIn(t, filepath.Join(dir, "a.pem"), labtest.NewCerts(t))+"}}\nroutes: [{answer: {body: ok}}]\n")
	out := filepath.Join(dir, "findings.json")
	cmd := exec.Command("testssl", "--quiet", "--color", "0", "--warnings", "batch", "--jsonfile", out, "-p", "-s", "-f", "-P", "-U", b.addr)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Logf("testssl: %v", err) // its code counts what it did not like
		t.Logf("%s", text)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var findings []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(raw, &findings); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Severity != "OK" && f.Severity != "INFO" {
			t.Errorf("%s is %s: %s", f.ID, f.Severity, f.Finding)
		}
	}
	if len(findings) < 40 {
		t.Errorf("only %d findings", len(findings))
	}
}
