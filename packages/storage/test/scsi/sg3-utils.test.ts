// What other people's tools read in our answers: sg3-utils, which Debian has.

import { MemoryDisk } from '@guestyard/storage'
import { DiskUnit, DvdUnit, ScsiTarget } from '@guestyard/storage/scsi'
import { expect, test } from 'vitest'
import { decodeAnswer, decodeSense, noSg3Utils } from '../support/sg3-utils.ts'
import { Initiator, inquiry, read10, write10 } from './initiator.ts'

const SKIPPED = noSg3Utils !== undefined
const ID = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index)

function initiators(): { disk: Initiator; dvd: Initiator; readOnly: Initiator } {
  const target = new ScsiTarget()
  target.attach(0, 0, 0, new DiskUnit(new MemoryDisk({ sizeBytes: 1 << 20, uniqueId: ID })))
  target.attach(0, 0, 1, new DvdUnit(null))
  target.attach(0, 0, 2, new DiskUnit(new MemoryDisk({ sizeBytes: 4096, readOnly: true })))
  return {
    disk: new Initiator(target, 0),
    dvd: new Initiator(target, 1),
    readOnly: new Initiator(target, 2),
  }
}

test.skipIf(SKIPPED)('sg_inq reads a disk and a DVD drive of Microsoft', () => {
  const { disk, dvd } = initiators()
  const ofDisk = decodeAnswer('sg_inq', disk.in(inquiry()).bytes)
  expect(ofDisk).toContain('PQual=0  PDT=0  RMB=0')
  expect(ofDisk).toContain('[SPC-3]')
  expect(ofDisk).toContain('CmdQue=1')
  expect(ofDisk).toContain('Vendor identification: Msft')
  expect(ofDisk).toContain('Product identification: Virtual Disk')
  expect(ofDisk).not.toContain('only fetched')
  const ofDvd = decodeAnswer('sg_inq', dvd.in(inquiry()).bytes)
  expect(ofDvd).toContain('PQual=0  PDT=5  RMB=1')
  expect(ofDvd).toContain('Peripheral device type: cd/dvd')
})

test.skipIf(SKIPPED)('sg_vpd reads every page that the first one lists', () => {
  const { disk } = initiators()
  const page = (code: number) => decodeAnswer('sg_vpd', disk.in(inquiry(255, code)).bytes)
  const list = page(0x00)
  for (const name of ['sv', 'sn', 'di', 'bl', 'bdc', 'lbpv']) expect(list).toContain(`[${name}]`)
  expect(page(0x80)).toContain('a0a1a2a3a4a5a6a7a8a9aaabacadaeaf')
  expect(page(0x83)).toContain('vendor specific: 0xa0a1a2a3a4a5a6a7a8a9aaabacadaeaf')
  expect(page(0x83)).toContain('0x60022480a4a5a6a7a8a9aaabacadaeaf')
  const limits = page(0xb0)
  expect(limits).toContain('Write same non-zero (WSNZ): 1')
  expect(limits).toContain('Maximum unmap LBA count: 524288')
  expect(limits).toContain('Maximum unmap block descriptor count: 256')
  expect(limits).toContain('Optimal unmap granularity: 8 blocks')
  expect(limits).toContain('Maximum write same length: 0x800 blocks')
  expect(page(0xb1)).toContain('Non-rotating medium (e.g. solid state)')
  const provisioning = page(0xb2)
  expect(provisioning).toContain('Unmap command supported (LBPU): 1')
  expect(provisioning).toContain('read zeros (LBPRZ): 1')
  expect(provisioning).toContain('thin provisioned')
})

test.skipIf(SKIPPED)('sg_decode_sense reads why a command failed', () => {
  const { disk, dvd, readOnly } = initiators()
  const why = (one: Initiator, cdb: number[]) => {
    const request = one.request(cdb, 1, new Uint8Array(512))
    one.target.execute(request)
    return decodeSense(request.sense)
  }
  expect(why(disk, read10(2048, 1))).toContain('Logical block address out of range')
  expect(why(disk, [0x4d, 0, 0, 0, 0, 0, 0, 0, 0, 0])).toContain('Invalid command operation code')
  expect(why(dvd, read10(0, 1))).toContain('Medium not present - tray closed')
  expect(why(readOnly, write10(0, 1))).toContain('Write protected')
})
