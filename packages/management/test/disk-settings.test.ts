import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

import { DiskPlaces, vmSettings } from '../src/index.ts'

const MIB = 1024 * 1024

const scsi = (controllerNumber: number, controllerLocation: number) => ({
  controllerType: 'scsi' as const,
  controllerNumber,
  controllerLocation,
})

describe('disks of a VM', () => {
  test('each gets the first free place of its controller, and every default', () => {
    const { disks } = vmSettings({
      name: 'a',
      disks: [
        { memoryBytes: MIB, controllerLocation: 1 },
        { file: 'x.vhdx', sizeBytes: MIB },
        { file: '/y.img', format: 'raw', limits: { iops: 100 } },
        { device: 'dvd', controllerType: 'ide' },
      ],
    })
    const create = { format: 'vhdx', sizeBytes: MIB, fixed: false }
    expect(disks).toEqual([
      {
        ...scsi(0, 1),
        device: 'disk',
        source: { is: 'memory', sizeBytes: MIB, blockBytes: 512 },
        readOnly: false,
        limits: null,
      },
      {
        ...scsi(0, 0),
        device: 'disk',
        source: { is: 'file', path: resolve('x.vhdx'), format: null, create, blockBytes: 512 },
        readOnly: false,
        limits: null,
      },
      {
        ...scsi(0, 2),
        device: 'disk',
        source: { is: 'file', path: '/y.img', format: 'raw', create: null, blockBytes: 512 },
        readOnly: false,
        limits: { iops: 100, bytesPerSecond: null },
      },
      {
        controllerType: 'ide',
        controllerNumber: 0,
        controllerLocation: 0,
        device: 'dvd',
        source: null,
        readOnly: true,
        limits: null,
      },
    ])
  })

  test('64 disks fill a controller, and the 65th has no place', () => {
    const disks = Array.from({ length: 64 }, () => ({ memoryBytes: 4096 }))
    expect(vmSettings({ name: 'a', disks }).disks[63]).toMatchObject(scsi(0, 63))
    const one = [...disks, { memoryBytes: 4096 }]
    expect(() => vmSettings({ name: 'a', disks: one })).toThrow(
      'VM "a": disks[64]: scsi 0 has no place left (64)',
    )
  })

  test('a disk that comes later takes no place that is in use, and leaves its own', () => {
    const places = new DiskPlaces('a')
    places.begin([scsi(0, 0), scsi(0, 1)])
    expect(places.take({ memoryBytes: 4096 })).toMatchObject(scsi(0, 2))
    expect(places.take({ memoryBytes: 4096 })).toMatchObject(scsi(0, 3))
    expect(() => places.take({ memoryBytes: 4096, controllerLocation: 1 })).toThrow(
      'VM "a": disk: scsi 0:1 is taken already',
    )
    places.leave(scsi(0, 1))
    expect(places.take({ memoryBytes: 4096 })).toMatchObject(scsi(0, 1))
    expect(() => places.take({ memoryBytes: 4096, controllerType: 'ide' })).toThrow(
      'VM "a": disk: an IDE controller takes none while the VM runs',
    )
  })

  test.each([
    [{}, 'names neither a file nor memoryBytes'],
    [{ file: 'x', memoryBytes: 512 }, 'names both a file and memoryBytes'],
    [{ memoryBytes: 513 }, '.memoryBytes: 513 is not a multiple of 512'],
    [
      { memoryBytes: 2 ** 33 },
      '.memoryBytes: 8589934592 is not a whole number from 512 to 4294901760',
    ],
    [{ file: 'x', sizeBytes: 0 }, '.sizeBytes: 0 is not a whole number from 512 to'],
    [
      { memoryBytes: 512, controllerNumber: 4 },
      '.controllerNumber: 4 is not a whole number from 0 to 3',
    ],
    [
      { memoryBytes: 512, controllerType: 'ide' as const, controllerLocation: 2 },
      '.controllerLocation: 2 is not a whole number from 0 to 1',
    ],
    [{ memoryBytes: 512, limits: { iops: 0.5 } }, '.limits.iops: 0.5 is not a whole number'],
    [
      { file: 'x', parent: 'y', sizeBytes: 512 },
      '.parent: its child is a VHDX, of its size, and never fixed',
    ],
    [{ file: '' }, '.file: "" is neither a path nor a file: URL'],
    // Callers need not be typed.
    [{ file: 5 as never }, '.file: 5 is neither a path nor a file: URL'],
    [{ file: new URL('http://x/y') }, '.file: http://x/y is no file: URL of this host'],
    [{ file: 'x', parent: '' }, '.parent: "" is neither a path nor a file: URL'],
    [
      { file: 'x', format: 'qcow2' as never, sizeBytes: 512 },
      '.format: "qcow2" is none of vhdx, vhd and raw',
    ],
    [
      { file: 'x', device: 'dvd' as const, sizeBytes: 512 },
      ': the disc of a DVD drive is not made',
    ],
  ])('%o is refused with one line that names the field', (disk, line) => {
    const refused = () => vmSettings({ name: 'a', disks: [disk] })
    expect(refused).toThrow(RangeError)
    expect(refused).toThrow(/^VM "a": disks\[0\][^\n]+$/)
    expect(refused).toThrow(line)
  })
})
