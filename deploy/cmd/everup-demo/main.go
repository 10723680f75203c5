// Command everup-demo runs one instance of the demo application.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/everup/everup/deploy/demo"
	"github.com/everup/everup/shared/syslog"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "address to serve on")
	name := flag.String("name", "web1", "name of this instance")
	cache := flag.String("memcached", "127.0.0.1:11211", "memcached server that counts the sessions")
	logs := flag.String("syslog", "127.0.0.1:1514", "syslog server for the access log")
	flag.Parse()
	if err := serve(*listen, *name, *cache, *logs); err != nil {
		fmt.Fprintln(os.Stderr, "everup-demo:", err)
		os.Exit(1)
	}
}

// drainPause is how long the instance still takes requests after its health check fails: longer than lbd takes to notice.
const drainPause = time.Second

func serve(listen, name, cache, logs string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	sendCtx, stopSending := context.WithCancel(context.Background())
	sender := syslog.NewSender(logs, syslog.Env{})
	wg.Go(func() { sender.Run(sendCtx) })
	defer wg.Wait()
	defer stopSending()

	app := demo.New(name, demo.NewMemcached(cache), demo.ToSyslog(sender, name, "demo"))
	srv := &http.Server{Handler: app.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	failed := make(chan error, 1)
	wg.Go(func() { failed <- srv.Serve(ln) })
	fmt.Fprintf(os.Stderr, "everup-demo: %s on http://%s\n", name, ln.Addr())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop() // a second signal ends the process
	app.Drain()
	time.Sleep(drainPause)
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = srv.Shutdown(end)
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}
