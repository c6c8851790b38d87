import { openService, TestClock } from '@guestyard/integration-services/testing'
import { HeartbeatVsc, ShutdownVsc, TimeSyncVsc } from '@guestyard/integration-services/vsc'
import {
  HeartbeatVsp,
  ShutdownVsp,
  TimeSyncVsp,
  heartbeatOffer,
  shutdownOffer,
  timeSyncOffer,
} from '@guestyard/integration-services/vsp'

const clock = new TestClock()

// A host that asks after its guest every two seconds, and a guest that answers: all in this thread.
const heartbeat = new HeartbeatVsp({ clock })
const beats = openService(heartbeatOffer, heartbeat, new HeartbeatVsc())
clock.advance(10_000, heartbeat, beats.loopback)
const { status, applications, answered } = heartbeat.inspect()
console.log(`${status}, applications ${applications}, ${answered} answers`)
// prints: ok, applications healthy, 6 answers

// The host tells the time: to set the clock by at first, then two samples in ten seconds, each beside a heartbeat.
const timeSync = new TimeSyncVsp({
  clock,
  unixMs: () => 1_700_000_000_000 + clock.nowMs,
  referenceTime: () => clock.nowMs * 10_000,
})
const times: string[] = []
const timeDriver = new TimeSyncVsc(({ unixMs, isSync }) =>
  times.push(`${isSync ? 'set to' : 'sample'} ${new Date(unixMs).toISOString()}`),
)
const telling = openService(timeSyncOffer, timeSync, timeDriver)
clock.advance(5_000, timeSync, telling.loopback)
console.log(times.join('; '))
// prints: set to 2023-11-14T22:13:30.000Z; sample 2023-11-14T22:13:35.000Z

// The host asks for a shutdown. The answer comes before the deed.
const shutdown = new ShutdownVsp()
const happened: string[] = []
const shutdownDriver = new ShutdownVsc({
  canDo: ({ action }) => action === 'shut-down',
  onOrder: ({ action }) => happened.push(`guest: ${action}`),
})
const power = openService(shutdownOffer, shutdown, shutdownDriver)
shutdown.request({ action: 'hibernate' }, (outcome) => happened.push(`host: ${outcome}`))
power.loopback.pump()
shutdown.request({}, (outcome) => happened.push(`host: ${outcome}`))
power.loopback.pump()
console.log(happened.join('; '))
// prints: host: refused; guest: shut-down; host: accepted
