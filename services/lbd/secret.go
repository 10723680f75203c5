package lbd

import (
	"errors"

	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/pki"
)

// The file of the state directory that has the secret of an lbd without a fleet.
const (
	secretFile    = "secret"
	secretKind    = "lbd-secret"
	secretVersion = 1
)

// keysOf returns what cookies of sessions are signed by and the keys of tickets come from: the fleet's, so that every lbd takes those of the
// others. An lbd without a fleet has a secret of its own, which its state directory keeps: the process that takes this one's place takes what
// clients have of it, be it after an upgrade or a restart. Where it cannot be kept the log says so, and the next process makes another.
func keysOf(env *daemon.Env) (*pki.Keys, error) {
	if env.Keys != nil {
		return env.Keys, nil
	}
	var secret string
	err := env.State.Load(secretFile, secretKind, secretVersion, &secret)
	if err == nil {
		keys, err := pki.New("lbd", secret)
		return keys, fault.Wrap(fault.Of(err), err, "lbd: the secret in %s", env.State.Path())
	}
	if !errors.Is(err, fault.NotFound) {
		env.Log.Error().Err(err).Msg("the secret of sessions is lost: clients begin anew")
	}
	secret = pki.GenerateSecret()
	if err := env.State.Save(secretFile, secretKind, secretVersion, secret); err != nil {
		env.Log.Error().Err(err).Msg("the secret of sessions is not kept: clients begin anew after the next start")
	}
	return pki.New("lbd", secret)
}
