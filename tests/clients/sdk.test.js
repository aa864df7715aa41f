// The life of rooms, rules and lists, told to velvetrope by the API's own JavaScript client.
import assert from 'node:assert/strict'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import Cloudflare from 'cloudflare'

const zone_id = 'ticketing'
const account_id = 'ticketing'
const client = new Cloudflare({
  apiToken: process.env.VELVETROPE_TOKEN,
  baseURL: process.env.VELVETROPE_API,
  maxRetries: 0,
})

async function all(pages) {
  const found = []
  for await (const one of pages) found.push(one)
  return found
}

test('rooms', async () => {
  const room = await client.waitingRooms.create({
    zone_id,
    name: 'npm',
    host: 'npm.example',
    total_active_users: 300,
    new_users_per_minute: 200,
  })
  assert.equal(room.queueing_method, 'fifo')
  const edited = await client.waitingRooms.edit(room.id, {
    zone_id,
    name: 'npm',
    host: 'npm.example',
    total_active_users: 300,
    new_users_per_minute: 250,
    suspended: true,
  })
  assert.equal(edited.suspended, true)
  const known = await all(client.waitingRooms.list({ zone_id }))
  assert.ok(known.some((one) => one.id === room.id))
  assert.deepEqual(await client.waitingRooms.delete(room.id, { zone_id }), { id: room.id })
  await assert.rejects(client.waitingRooms.get(room.id, { zone_id }), Cloudflare.NotFoundError)
})

test('rules', async () => {
  const room = await client.waitingRooms.create({
    zone_id,
    name: 'npm-rules',
    host: 'rules.example',
    total_active_users: 300,
    new_users_per_minute: 200,
  })
  const rule = (name) => ({ action: 'bypass_waiting_room', expression: `http.host eq "${name}"`, description: name })
  const names = (rules) => rules.map((one) => one.description).join('')
  let rules
  for (const name of 'abc') {
    rules = await all(client.waitingRooms.rules.create(room.id, { zone_id, rules: rule(name) }))
  }
  assert.equal(names(rules), 'abc')
  const first = rules[0].id
  const move = async (position) =>
    names(await all(client.waitingRooms.rules.edit(first, { zone_id, waiting_room_id: room.id, ...rule('a'), position })))
  assert.equal(await move({ index: 2 }), 'bac')
  assert.equal(await move({ after: '' }), 'bca')
  assert.equal(await move({ before: rules[1].id }), 'abc')
  const left = await all(client.waitingRooms.rules.delete(first, { zone_id, waiting_room_id: room.id }))
  assert.equal(names(left), 'bc')
  const replaced = await all(client.waitingRooms.rules.update(room.id, { zone_id, rules: [rule('z')] }))
  assert.equal(names(replaced), 'z')
  await assert.rejects(
    all(client.waitingRooms.rules.create(room.id, { zone_id, rules: { ...rule('x'), expression: 'http.hots eq 1' } })),
    (error) => error instanceof Cloudflare.BadRequestError && error.errors[0].message.includes('^^^^^^^^^'),
  )
  await client.waitingRooms.delete(room.id, { zone_id })
})

test('lists', async () => {
  const list = await client.rules.lists.create({ account_id, kind: 'ip', name: 'npm_list' })
  const { operation_id } = await client.rules.lists.items.create(list.id, { account_id, body: [{ ip: '192.0.2.0/24' }] })
  let operation
  for (let attempt = 0; attempt < 200; attempt++) {
    operation = await client.rules.lists.bulkOperations.get(operation_id, { account_id })
    if (operation.status === 'completed') break
    await sleep(50)
  }
  assert.equal(operation.status, 'completed')
  const items = await all(client.rules.lists.items.list(list.id, { account_id }))
  assert.deepEqual(items.map((item) => item.ip), ['192.0.2.0/24'])
  await client.rules.lists.delete(list.id, { account_id })
})
