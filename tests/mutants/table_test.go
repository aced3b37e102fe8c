package mutants

// table lists the guards. Each `why` completes "although …".
func table() []mutant {
	return []mutant{
		{
			name: "INV-3 compare-and-set per partition",
			why:  "a flush commits partitions that no longer stand before its first row",
			file: "archiver/flush.go",
			old:  "return last(below, f.t.uuid, s.partition) != s.first-1",
			new:  "return false",
			pkg:  "./tests/e2e/archiver", test: "TestTwoArchiversFightForEveryPartition",
		},
		{
			name: "INV-3 an ambiguous commit is tried again at its own version",
			why:  "the same bytes are put at the next version after an answer was lost",
			file: "internal/delta/commit.go",
			old:  "c.putOnce(ctx, version, id, data)",
			new:  "c.putOnce(ctx, version+int64(attempt), id, data)",
			pkg:  "./internal/delta", test: "TestUnclearAnswers",
		},
		{
			name: "INV-4 a cut is of one generation",
			why:  "rows of other generations belong to a point",
			file: "internal/replay/member.go",
			old:  "case row.Generation != m.cut.Generation:",
			new:  "case false:",
			pkg:  "./internal/replay", test: "TestMembership",
		},
		{
			name: "membership by order alone",
			why:  "rows after the point's offsets belong to it",
			file: "internal/replay/member.go",
			old:  "|| row.Offset > m.offsets[p]",
			new:  "",
			pkg:  "./internal/replay", test: "TestOffsetsBound",
		},
		{
			name: "INV-6 numbers",
			why:  "a document is decoded and encoded again before it is written back",
			file: "internal/cosmos/rest.go",
			old:  "bytes.NewReader(q.body))",
			new:  "bytes.NewReader(func() []byte { var v any; if json.Unmarshal(q.body, &v) != nil || q.kind != \"docs\" { return q.body }; b, _ := json.Marshal(v); return b }()))",
			pkg:  "./tests/e2e/restorer", test: "TestRestoreIsExact",
		},
		{
			name: "INV-8 a swept file is not committed",
			why:  "a file that a sweep may have taken for an orphan is committed",
			file: "internal/delta/check.go",
			old:  "if s.Swept(add.Modified) {",
			new:  "if false {",
			pkg:  "./internal/delta", test: "TestSweepBarrier",
		},
		{
			name: "INV-9 a flush is bounded",
			why:  "the buffer takes rows without a limit",
			file: "archiver/archiver.go",
			old:  "if !a.buffer.fits(t.index, d.container, &d.row) {",
			new:  "if false {",
			pkg:  "./tests/e2e/archiver", test: "TestFlushByBytes",
		},
		{
			name: "INV-10 a gap halts",
			why:  "records that were never archived are passed over",
			file: "archiver/resume.go",
			old:  "case log.start > next:",
			new:  "case false:",
			pkg:  "./tests/e2e/archiver", test: "TestGapHalts",
		},
	}
}
