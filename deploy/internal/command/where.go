package command

import (
	"context"
	"errors"
	"net/http"

	"github.com/everup/everup/deploy/internal/find"
	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
)

// where is the flag --dir of the commands that talk to daemons.
type where struct{ dir string }

func (w *where) bind(c *cobra.Command) {
	c.Flags().StringVar(&w.dir, "dir", "", "directory of a suite or of admin sockets (default: ./.everup, $XDG_RUNTIME_DIR/everup, /run/everup)")
}

func (w *where) all(ctx context.Context) ([]find.Daemon, error) {
	return find.In(ctx, find.Dirs(w.dir))
}

func (w *where) one(ctx context.Context, name string) (find.Daemon, error) {
	found, err := w.all(ctx)
	if err != nil {
		return find.Daemon{}, err
	}
	return find.One(found, name)
}

// ask gets path from the first daemon that answers.
func (w *where) ask(ctx context.Context, path string, out any) error {
	found, err := w.all(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range found {
		c := d.Client()
		err := c.Do(ctx, http.MethodGet, path, nil, out)
		c.Close()
		if err == nil || !errors.Is(err, fault.Unavailable) {
			return err
		}
		errs = append(errs, err)
	}
	return fault.Wrap(fault.Unavailable, errors.Join(errs...), "no daemon answers")
}

// call posts to one daemon.
func (w *where) call(ctx context.Context, daemon, path string, body, out any) error {
	d, err := w.one(ctx, daemon)
	if err != nil {
		return err
	}
	c := d.Client()
	defer c.Close()
	return c.Do(ctx, http.MethodPost, path, body, out)
}
