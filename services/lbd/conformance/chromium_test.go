package conformance

import (
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
	"github.com/google/go-cmp/cmp"
)

// browsed is what the page tells of how it fared in the browser.
type browsed struct {
	Page       string         // protocol that the page itself came by
	Protocols  map[string]int // requests for what belongs to it, by protocol
	Loaded     []string       // what of it has worked
	Coding     string         // of a text that lbd compresses
	Packed     bool           // fewer bytes came for it than it has
	Text       int            // its length
	Range      string         // answer to a request for a part
	Seeked     bool           // the sound plays from far behind its beginning
	Echoed     []int          // lengths of messages that came back as they were sent
	Close      int            // code of the WebSocket's close
	Clean      bool           // it was closed as it should be
	Complaints []string
}

// browser is a member with a page that tries what browsers do, and reports.
type browser struct {
	*origin
	reports chan browsed

	mu     sync.Mutex
	ranges int // requests of the sound for a part that does not begin at its beginning
}

//go:embed testdata/page.html
var page string

func startBrowserOrigin(t *testing.T) *browser {
	b := &browser{origin: startOrigin(t), reports: make(chan browsed, 1)}
	serve := func(path, kind, content string) {
		b.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "no-store")
			io.WriteString(w, content)
		})
	}
	serve("/{$}", "text/html; charset=utf-8", page)
	for i := range 3 {
		serve(fmt.Sprintf("/style%d.css", i), "text/css", fmt.Sprintf("#s%d { color: rgb(%d, 2, 3) }\n", i, i)+"/*"+strings.Repeat("x", 10_000*i)+"*/")
		serve(fmt.Sprintf("/script%d.js", i), "text/javascript", fmt.Sprintf("loaded.push('script%d')\n", i)+"//"+strings.Repeat("x", 100_000*i))
		serve(fmt.Sprintf("/image%d.svg", i), "image/svg+xml", fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="7"/>`, i+1))
	}
	b.mux.HandleFunc("/sound.wav", b.serveSound)
	b.mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var got browsed
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			got.Complaints = []string{err.Error()}
		}
		b.reports <- got
	})
	return b
}

// serveSound serves ten minutes of silence, which nobody loads whole before he hears the end.
func (b *browser) serveSound(w http.ResponseWriter, r *http.Request) {
	if v := r.Header.Get("Range"); v != "" && v != "bytes=0-" {
		b.mu.Lock()
		b.ranges++
		b.mu.Unlock()
	}
	const rate, seconds = 8000, 600
	head := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, 36+rate*seconds)...)
	head = append(head, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	head = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(head, rate), rate) // bytes in a second are samples
	head = append(head, "\x01\x00\x08\x00data"...)
	head = binary.LittleEndian.AppendUint32(head, rate*seconds)
	w.Header().Set("Content-Type", "audio/wav")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(head)+strings.Repeat("\x80", rate*seconds)))
}

// browse opens a page in Chromium until it reports.
func (b *browser) browse(t *testing.T, url string, args ...string) browsed {
	t.Helper()
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--mute-audio", "--autoplay-policy=no-user-gesture-required",
		"--user-data-dir=" + t.TempDir(), "--remote-debugging-port=0",
	}, args...)
	var said strings.Builder
	cmd := exec.Command("chromium", append(args, url)...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &said, &said, 10*time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has many processes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var got browsed
	select {
	case got = <-b.reports:
	case <-time.After(2 * patience):
		t.Errorf("%s: the page reports nothing", url)
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	cmd.Wait() // it was killed: there is nothing to be learnt
	if t.Failed() {
		t.Logf("chromium said:\n%s", said.String())
	}
	return got
}

// fingerprint is the hash of a certificate's key by which Chromium is told to believe it.
func fingerprint(t *testing.T, c *labtest.Certs) string {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Leaf.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// TestChromium loads a page with all that belongs to it in a browser: plain, over TLS by HTTP/1.1 alone, and by HTTP/2, beside which its WebSocket
// has a connection of its own.
func TestChromium(t *testing.T) {
	t.Parallel()
	labtest.Needs(t, "chromium")
	b := startBrowserOrigin(t)
	certs := labtest.NewCerts(t, "shop.test")
	plain, secure, multiplexed := labtest.FreeAddr(t), labtest.FreeAddr(t), labtest.FreeAddr(t)
	log := filepath.Join(t.TempDir(), "access.log")
	startProgram(t, plain, fmt.Sprintf("access_log: {file: %q, format: template, template: '$scheme $proto $target $status'}\nlisten: [%q, {addr: %q, tls: web, http2: false}, {addr: %q, tls: web}]\ntls: {web: {certificates: [%s]}}\nroutes: [{pool: web}]\npools: {web: %s}\n",
		log, plain, secure, multiplexed, certificate(certs), poolYAML("compress: {},", b.addr)))
	f := func(scheme, addr, protocol, coding string) {
		t.Helper()
		_, port, _ := net.SplitHostPort(addr)
		got := b.browse(t, scheme+"://shop.test:"+port+"/", "--host-resolver-rules=MAP shop.test 127.0.0.1", "--ignore-certificate-errors-spki-list="+fingerprint(t, certs))
		want := browsed{
			Page: protocol, Protocols: map[string]int{protocol: 12}, Coding: coding, Packed: true, Text: len(prose()), Range: "206 bytes 1000-1999/1048576 1000", Seeked: true,
			Loaded: []string{"script0", "script1", "script2", "style0", "style1", "style2", "image0", "image1", "image2"},
			Echoed: []int{0, 125, 126, 65535, 65536}, Close: 4321, Clean: true, Complaints: []string{},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", scheme, diff)
		}
	}
	f("http", plain, "http/1.1", "gzip") // Chromium takes the others over TLS alone
	f("https", secure, "http/1.1", "zstd")
	f("https", multiplexed, "h2", "zstd")
	labtest.Eventually(t, patience, "all is in the log", func() error {
		b, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		for line, want := range map[string]int{
			"http HTTP/1.1 /socket 101\n": 1, "https HTTP/1.1 /socket 101\n": 2, "https HTTP/2.0 /socket": 0,
			"http HTTP/1.1 / 200\n": 1, "https HTTP/1.1 / 200\n": 1, "https HTTP/2.0 / 200\n": 1,
		} {
			if n := strings.Count("\n"+string(b), "\n"+line); n != want {
				return fmt.Errorf("%d lines %q, want %d:\n%s", n, line, want, b)
			}
		}
		return nil
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ranges < 3 {
		t.Errorf("%d requests for parts of the sound", b.ranges)
	}
}
