// What a VM's control port answers while its machine is reset.

import { expect, test } from 'vitest'

import type { VmwpControl } from '../src/vmwp/protocol.ts'
import { VmControl } from '../src/vmwp/vm-control.ts'

function boot(call: VmwpControl['call']): VmwpControl {
  return { call } as Partial<VmwpControl> as VmwpControl
}

test('a call between two boots waits for the next one', async () => {
  const control = new VmControl()
  control.begin(boot(async () => 'first'))
  expect(await control.call('exec', '')).toBe('first')
  control.pause()
  const asked = control.call('exec', '')
  control.begin(boot(async () => 'second'))
  expect(await asked).toBe('second')
})

test('a reset ends what was under way, but for the console, which goes on', async () => {
  const control = new VmControl()
  const { promise: reset, reject } = Promise.withResolvers<never>()
  control.begin(boot(() => reset))
  const exec = control.call('exec', '')
  const read = control.call('console-read', null)
  control.pause()
  reject(new Error('the guest reset its machine'))
  await expect(exec).rejects.toThrow('reset its machine')
  control.begin(boot(async () => 'from the next boot'))
  expect(await read).toBe('from the next boot')
})
