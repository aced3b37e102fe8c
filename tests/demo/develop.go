package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"
)

// develop leaves the stack running, with a little business in it, until it is stopped.
func (d *demo) develop(ctx context.Context) (err error) {
	if err := d.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	d.out.title(fmt.Sprintf("Almanac: a stack to play with (seed %d)", d.seed))
	d.introduce()
	compactor, err := d.stack.Spawn("compactor", "compactor", []string{"run", "--compactor-snapshot-interval", "1m"})
	if err != nil {
		return err
	}
	if err := d.load(ctx); err != nil {
		return err
	}
	for _, name := range []string{"producer-1", "producer-2", "archiver-1", "archiver-2", compactor.Name} {
		addr, err := d.stack.Process(name).Addr(ctx)
		if err != nil {
			return err
		}
		d.out.say("METRICS", "%-12s http://%s/metrics", name, addr)
	}
	d.out.say("FILES", "%s\n%s\n%s", d.stack.Config, filepath.Join(d.stack.Archive), d.stack.Logs)
	d.out.say("TRY", "in another terminal:")
	d.out.block(fmt.Sprintf(`export ALMANAC_CONFIG=%s COSMOS_KEY=%s PATH=%s:$PATH
almanac-restorer points --container shop.products
almanac-restorer plan --container shop.products --before $(date -u -d '-30 seconds' +%%FT%%TZ)
almanac-restorer history --container shop.products --partition-key '%s' --id %s`,
		d.stack.Config, d.stack.Cosmos.Key(), d.bin, d.shop.goods[0].key, d.shop.goods[0].id))
	d.out.say("RUNNING", "a write every half second; Ctrl-C stops everything")
	random := rand.New(rand.NewPCG(d.seed, 2))
	ticker := time.NewTicker(time.Second / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := d.shop.work(ctx, random); err != nil && ctx.Err() == nil {
				return err
			}
			if err := d.stack.Failed(); err != nil {
				return err
			}
		}
	}
}

// stop ends the programs in order, then the emulators.
func (d *demo) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	return errors.Join(d.stack.Stop(ctx), d.stack.Close())
}
