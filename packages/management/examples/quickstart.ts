import { startHost } from '@guestyard/management'

const host = await startHost({ log: { level: 'silent' } })
try {
  // A guest without a program of its own: it boots, finds its devices and serves load runs.
  const vm = host.createVm({ name: 'box', memoryBytes: 16 * 1024 * 1024 })
  const { vmbusVersion, offers } = await vm.start()
  console.log(`VMBus ${vmbusVersion >>> 16}.${vmbusVersion & 0xffff}, ${offers} offers`)
  await vm.stop()
  console.log(vm.state, vm.lastExit?.reason)
} finally {
  await host.close()
}
// prints: off stopped
