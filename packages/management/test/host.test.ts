import { afterEach, describe, expect, test } from 'vitest'

import { startHost, type Host, type Vm } from '../src/index.ts'

const MIB = 1024 * 1024

function guest(name: string): URL {
  return new URL(`./guests/${name}.ts`, import.meta.url)
}

describe('a host', () => {
  const hosts: Host[] = []

  async function host(): Promise<Host> {
    const started = await startHost({ log: { level: 'silent' } })
    hosts.push(started)
    return started
  }

  async function started(on: Host, name: string, program: string): Promise<Vm> {
    const vm = on.createVm({ name, memoryBytes: 4 * MIB, program: guest(program) })
    await vm.start()
    return vm
  }

  afterEach(async () => {
    await Promise.all(hosts.splice(0).map((one) => one.close()))
  })

  test('a guest that throws is reported with what it threw, and its neighbour goes on', async () => {
    const yard = await host()
    const good = await started(yard, 'good', 'stays')
    const bad = await started(yard, 'bad', 'throws')
    const exit = await bad.exit
    expect(exit.reason).toBe('threw')
    expect(exit.detail).toContain('the disk is on fire')
    expect(bad.state).toBe('failed')
    expect(await good.call('double', 21)).toBe(42)
  })

  test('a guest that exits its thread is reported with its exit code', async () => {
    const yard = await host()
    const vm = await started(yard, 'leaver', 'exits')
    expect(await vm.exit).toEqual({
      reason: 'crashed',
      detail: 'the guest thread exited with code 7',
    })
  })

  test('an error outside main ends the guest as crashed, with the error', async () => {
    const yard = await host()
    const vm = await started(yard, 'late', 'throws-later')
    const exit = await vm.exit
    expect(exit.reason).toBe('crashed')
    expect(exit.detail).toContain('nobody caught this')
  })

  test('a guest that never comes back to its kernel is ended as not responding', async () => {
    const yard = await host()
    const good = await started(yard, 'good', 'stays')
    const vm = yard.createVm({
      name: 'spinner',
      memoryBytes: 4 * MIB,
      program: guest('never-answers'),
      notRespondingMs: 300,
    })
    await vm.start()
    expect((await vm.exit).reason).toBe('not-responding')
    expect(await good.call('double', 4)).toBe(8)
  })

  test('a call of what a program does not expose is answered on one line', async () => {
    const yard = await host()
    const vm = await started(yard, 'plain', 'stays')
    await expect(vm.call('halve', 4)).rejects.toThrow(
      /^Error: the program of "plain" exposes no "halve"$/,
    )
  })

  test('a program that returns ends its VM, which is off and may start again', async () => {
    const yard = await host()
    const vm = await started(yard, 'short', 'returns')
    expect((await vm.exit).reason).toBe('exited')
    expect(vm.state).toBe('off')
    await vm.start()
    expect((await vm.exit).reason).toBe('exited')
  })

  test('nothing of a VM is left in the root after it ended, however it ended', async () => {
    const yard = await host()
    for (const program of ['returns', 'throws', 'exits', 'throws-later']) {
      const vm = await started(yard, program, program)
      await vm.exit
    }
    const stopped = await started(yard, 'stopped', 'stays')
    await stopped.stop()
    expect(stopped.lastExit?.reason).toBe('stopped')
    const off = await started(yard, 'off', 'stays')
    await off.turnOff()
    expect(off.lastExit?.reason).toBe('turned-off')
    await expect.poll(async () => (await yard.inspect()).partitions).toEqual([])
  })

  test('keys typed on the synthetic keyboard arrive in the guest in order', async () => {
    const yard = await host()
    const vm = await started(yard, 'typist', 'types')
    for (const makeCode of [0x1e, 0x30, 0x2e]) {
      await expect.poll(() => vm.pressKey(makeCode)).toBe(true)
    }
    await expect
      .poll(async () => ((await vm.takeReports())[0] as { makeCode: number }[] | undefined)?.length)
      .toBe(3)
  })

  test('closing a host stops what runs within a second', async () => {
    const yard = await host()
    await Promise.all(['a', 'b', 'c'].map((name) => started(yard, name, 'stays')))
    const from = performance.now()
    await yard.close()
    expect(performance.now() - from).toBeLessThan(1_000)
    expect(yard.vms.map((vm) => vm.state)).toEqual(['off', 'off', 'off'])
  })

  test('a program that is not there fails the start and names the module', async () => {
    const yard = await host()
    const vm = yard.createVm({ name: 'none', memoryBytes: 4 * MIB, program: guest('no-such-file') })
    await expect(vm.start()).rejects.toThrow('no-such-file')
    expect(vm.lastExit?.reason).toBe('start-failed')
    expect(vm.state).toBe('failed')
  })

  test('two VMs of one name are refused, and the name is in the message', async () => {
    const yard = await host()
    yard.createVm({ name: 'twin' })
    expect(() => yard.createVm({ name: 'twin' })).toThrow('"twin"')
  })
})
