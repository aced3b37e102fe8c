package producer

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a producer. None has labels that grow with the data.
type metrics struct {
	events, bytes, marks, checkpoints, charge prometheus.Counter
	halts                                     *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "almanac_producer_" + name, Help: help})
	}
	m := &metrics{
		events:      counter("events_total", "Records handed to the brokers, control events included."),
		bytes:       counter("bytes_total", "Bytes of their values."),
		marks:       counter("marks_total", "Marks that were acknowledged."),
		checkpoints: counter("checkpoints_total", "Checkpoints that were written."),
		charge:      counter("request_units_total", "Request units that reading the change feed was charged."),
		halts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "almanac_producer_halted", Help: "1 while the feed range is halted.",
		}, []string{"container", "range"}),
	}
	if registry == nil {
		return m, nil
	}
	var err error
	for _, c := range []prometheus.Collector{m.events, m.bytes, m.marks, m.checkpoints, m.charge, m.halts} {
		err = errors.Join(err, registry.Register(c))
	}
	return m, err
}

func (m *metrics) halted(k *task, value float64) {
	m.halts.WithLabelValues(k.container.Name(), k.span.String()).Set(value)
}
