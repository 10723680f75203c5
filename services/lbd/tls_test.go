package lbd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/everup/everup/services/lbd/internal/certs"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
	"github.com/google/go-cmp/cmp"
)

// bothIn writes a certificate with its key into one file.
func bothIn(t testing.TB, path string, c *labtest.Certs) string {
	t.Helper()
	var all []byte
	for _, from := range []string{c.CertFile, c.KeyFile} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if err := os.WriteFile(path+"~", all, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Certificates are shown and told of, and taken anew while the daemon runs; what cannot be used is refused before anything changes.
func TestCertificatesOfTheDaemon(t *testing.T) {
	dir := t.TempDir()
	path := bothIn(t, filepath.Join(dir, "a.pem"), labtest.NewCerts(t, "a.test", "*.a.test"))
	more := poolYAML("", backend(t, "a").addr)
	good := "tls: {web: {certificates: " + path + "}}\n" + more
	b := start(t, good)
	command := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := cli.Execute(t.Context(), daemon.Command(Spec()), append(args, "--socket", socketOf(b)), &out, &errs); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, errs.String())
		}
		return out.String()
	}
	has := func(text string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !regexp.MustCompile(w).MatchString(text) {
				t.Errorf("it lacks %q:\n%s", w, text)
			}
		}
	}
	has(command("certificates"), `tls\.web +a\.test \*\.a\.test \(default\) +ecdsa P-256 +[0-9-]+, ends in (23h59|24h0)m0s +CN=labtest authority +`+path)
	has(command("status"), `certificate +tls\.web: a\.test ends in `)
	has(command("status", "-o", "json"), `"certificates": \[`, `"section": "tls\.web"`)
	has(metrics(t, b), `everup_lbd_certificate_expiry_seconds\{section="tls\.web",name="a\.test"\} 86[0-9]{3}`, `everup_lbd_tls_unknown_names_total 0`)
	bothIn(t, path, labtest.NewCerts(t, "b.test"))
	labtest.Eventually(t, patience, "the new certificate is told of", func() error {
		for _, e := range b.Env().Bus.Recent(100) {
			if e.Kind == "certificate-replaced" && e.Object == "tls.web/b.test" && strings.Contains(string(e.Data), path) {
				return nil
			}
		}
		return errors.New("it is not")
	})
	has(command("certificates"), `tls\.web +b\.test \(default\)`)
	bothIn(t, path, labtest.NewCerts(t, "c.test"))
	b.reload(good)
	has(command("certificates"), `tls\.web +c\.test \(default\)`)

	b.set("tls: {web: {certificates: [" + path + ", " + dir + "/no.pem]}}\n" + more)
	if _, err := b.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), ": tls.web.certificates[1].cert: "+dir+"/no.pem cannot be read") {
		t.Errorf("a missing file: %v", err)
	}
	var c Config // as where the file goes between the look of Validate and that of the daemon
	if _, err := conf.Parse("f", []byte("tls: {web: {certificates: "+dir+"/no.pem}}\n"), &c, conf.Options{Offline: true}); err != nil {
		t.Fatal(err)
	}
	if err := b.service().apply(&c, nil); fault.Of(err) != fault.Config || err.Error() != "lbd: tls.web: "+dir+"/no.pem cannot be read: no such file or directory" {
		t.Errorf("a missing file: %v", err)
	}
	has(command("certificates"), `tls\.web +c\.test \(default\)`)
	b.reload(more)
	if out := command("certificates"); strings.Contains(out, "c.test") {
		t.Errorf("it is still there: %s", out)
	}
}

func TestSummaryOfCertificates(t *testing.T) {
	var all []certs.Status
	for i := range 7 {
		all = append(all, certs.Status{Section: "tls.web", Names: []string{"a" + strconv.Itoa(i)}, Left: "ends in 3 days"})
	}
	all[1].Problem, all[2].Names = "x.pem is no file", nil
	all[2].File = "y.pem"
	var got []string
	for _, l := range summaryOf(all, 9) {
		got = append(got, l.Name+": "+l.Value)
	}
	want := []string{
		"certificate: tls.web: a0 ends in 3 days", "certificate: tls.web: a1 ends in 3 days; x.pem is no file", "certificate: tls.web: y.pem ends in 3 days",
		"certificate: tls.web: a3 ends in 3 days", "certificate: tls.web: a4 ends in 3 days", ": 4 more: lbd certificates",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
