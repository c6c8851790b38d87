// The tables of a machine that no firmware describes: sums, pointers, and what ACPI's own tools make of them.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MMIO_WINDOW, acpiTables, amlBytes } from '@guestyard/x86-partition'
import { expect, test } from 'vitest'

import { checksum } from '../src/boot/acpi-tables.ts'

const ADDRESS = 0xe_0000
const acpi = acpiTables(ADDRESS)
const view = new DataView(acpi.bytes.buffer)

function textAt(address: number, length: number): string {
  return String.fromCharCode(...acpi.bytes.subarray(address - ADDRESS, address - ADDRESS + length))
}

test('all tables but the FACS sum up to 0', () => {
  for (const [signature, table] of acpi.tables) {
    if (signature !== 'FACS') expect([signature, checksum(table)]).toEqual([signature, 0])
  }
})

test('each table says its own length, and none lies over another', () => {
  for (const [signature, table] of acpi.tables) {
    if (signature === 'RSD PTR ') continue
    expect(new DataView(table.buffer).getUint32(4, true)).toBe(table.length)
  }
  const total = [...acpi.tables.values()].reduce((sum, table) => sum + table.length, 0)
  expect(acpi.bytes.length).toBeGreaterThanOrEqual(total)
})

test('pointers lead from the RSDP to every table', () => {
  const at = (address: number): number => view.getUint32(address - ADDRESS, true)
  const rsdt = at(acpi.rsdpAddress + 16)
  expect(textAt(rsdt, 4)).toBe('RSDT')
  const [fadt, madt] = [at(rsdt + 36), at(rsdt + 40)]
  expect([textAt(fadt, 4), textAt(madt, 4)]).toEqual(['FACP', 'APIC'])
  expect([textAt(at(fadt + 36), 4), textAt(at(fadt + 40), 4)]).toEqual(['FACS', 'DSDT'])
})

test('lengths in AML take as many bytes as they need', () => {
  // A name with a string of n characters in a scope: 7 + n bytes of content behind the path.
  const scope = (n: number): number[] =>
    amlBytes([
      {
        is: 'scope',
        path: '\\_SB',
        objects: [{ is: 'name', name: 'ABCD', value: 'x'.repeat(n) }],
      },
    ])
  for (const n of [0, 40, 60, 4000, 5000]) {
    const bytes = scope(n)
    const lead = bytes[1]!
    const more = lead >>> 6
    const low = more === 0 ? lead & 0x3f : lead & 0xf
    const length = low | (more > 0 ? bytes[2]! << 4 : 0) | (more > 1 ? bytes[3]! << 12 : 0)
    expect(length).toBe(bytes.length - 1)
  }
})

test.each(['abc', 'TOOLONG', '1ABC', ''])('%s is no name of an object', (name) => {
  expect(() => amlBytes([{ is: 'name', name, value: 0 }])).toThrow(RangeError)
})

test('iasl takes the DSDT apart and finds the bus and its window', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'guestyard-acpi-'))
  try {
    writeFileSync(join(folder, 'dsdt.aml'), acpi.tables.get('DSDT')!)
    try {
      execFileSync('iasl', ['-d', 'dsdt.aml'], { cwd: folder, stdio: 'pipe' })
    } catch (error) {
      if ((error as { readonly code?: unknown }).code !== 'ENOENT') throw error
      context.skip('iasl is not installed (Debian: acpica-tools)')
    }
    const source = readFileSync(join(folder, 'dsdt.dsl'), 'utf8')
    expect(source).toContain('Name (_HID, "VMBus"')
    expect(source).toContain('Name (_HID, "ACPI0004"')
    expect(source).toContain('EisaId ("PNP0501")')
    const hex = (value: number): string => `0x${value.toString(16).toUpperCase().padStart(8, '0')}`
    const { from, bytes } = MMIO_WINDOW
    const range = new RegExp(`${hex(from)},.*\\n *${hex(from + bytes - 1)},`)
    expect(source).toMatch(range)
    expect(source).toContain('Name (_S5, Package (0x04)')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
