// Package compactor takes snapshots: the content of a container at a restore point, as sorted Parquet files of disjoint
// ranges in the Delta table `state`, described by a manifest.
//
// Nouns. A *target* is a container in its topic. A *plan* says which point is taken, from which base and files, and which
// files of `state` it replaces; making one writes nothing (INV-7). A *snapshot* exists by the commit in `state`'s log
// that names it; files or a manifest without that are orphans that nobody refers to.
//
// Execution: data files, each decoded again from the store; then the manifest, put if absent; then the commit. What a
// crash leaves behind:
//
//	before the manifest   orphan files; the next run begins anew
//	before the commit     a manifest and its files; the next run for that point commits them as they are
//	after the commit      nothing to do
//
// Two compactors may run side by side. At one point the later one goes on with the manifest of the earlier one, and both
// commit the same snapshot once; at different points the later commit finds that another snapshot came first and gives up.
//
// A contradiction in a container's rows (INV-4) halts that container: the halt stands in its folder and survives restarts
// until Clear (INV-10). Other containers go on.
package compactor
