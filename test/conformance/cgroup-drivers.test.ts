import template from '../../plugins/cgroup/_template/index.ts'
import cgroupfsV1 from '../../plugins/cgroup/cgroupfs-v1/index.ts'
import cgroupfsV2 from '../../plugins/cgroup/cgroupfs-v2/index.ts'
import systemd from '../../plugins/cgroup/systemd/index.ts'
import { real, recorded, recordedSystemd } from '../support/cgroup-targets.ts'
import { cgroupSuite } from './cgroup.ts'

// First: its start needs the event loop, which recorded hosts hardly let go of.
await cgroupSuite('systemd, this host', () => real(systemd))
await cgroupSuite('cgroupfs-v1, recorded v1 host', () => recorded(cgroupfsV1, 'v1'))
await cgroupSuite('cgroupfs-v1, recorded hybrid host', () => recorded(cgroupfsV1, 'hybrid'))
await cgroupSuite('cgroupfs-v2, recorded v2 host', () => recorded(cgroupfsV2, 'v2'))
await cgroupSuite('systemd, recorded v2 host', () => recordedSystemd())
await cgroupSuite('template, recorded v2 host', () => recorded(template, 'v2'))
await cgroupSuite('cgroupfs-v1, this host', () => real(cgroupfsV1))
// On a hybrid host: what the v2 tree can without its controllers.
await cgroupSuite('cgroupfs-v2, this host', () => real(cgroupfsV2))
