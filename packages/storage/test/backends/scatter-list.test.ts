import { ScatterList } from '@guestyard/storage'
import { expect, test } from 'vitest'

test('pieces that lie side by side are one piece', () => {
  const list = new ScatterList(2)
  list.beginBytes(new Uint8Array(64))
  list.add(0, 16)
  list.add(16, 8)
  list.add(40, 8)
  expect([list.count, list.totalBytes]).toEqual([2, 32])
  expect([...list.addresses]).toEqual([0, 40])
  expect([...list.lengths]).toEqual([24, 8])
})

test('a list without room says so, and keeps what it has', () => {
  const list = new ScatterList(1)
  list.beginBytes(new Uint8Array(64))
  list.add(0, 16)
  expect(list.add(32, 16)).toBe(false)
  expect([list.count, list.totalBytes]).toEqual([1, 16])
})

test('a list that begins again is empty', () => {
  const list = new ScatterList(1)
  list.beginBytes(new Uint8Array(64))
  list.add(0, 16)
  list.beginBytes(new Uint8Array(8))
  expect([list.count, list.totalBytes]).toEqual([0, 0])
  expect(list.add(0, 8)).toBe(true)
})
