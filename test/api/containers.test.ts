import { after, before } from 'node:test'
import { conflict, internal, notFound, notModified } from '../../shared/errors/index.ts'
import { startTestGateway, type TestGateway } from './gateway.ts'
import { tester } from './table.ts'

const ID = 'c'.repeat(64)
const nope = (ref: string) => notFound(`No such container: ${ref}`)
let gateway: TestGateway

before(async () => {
  gateway = await startTestGateway({
    engine: {
      'container.list': async (request) => [
        { Id: ID, asked: request, NetworkSettings: { Networks: { a: { DNSNames: ['x'] } } } },
      ],
      'container.create': async (request) => {
        if (request.name === 'taken') throw conflict('Conflict. The container name "/taken" is already in use')
        return { id: request.id, warnings: ['w'] }
      },
      'container.inspect': async ({ ref, size }) => {
        if (ref === 'nope') throw nope(ref)
        return { Id: ID, ref, size, NetworkSettings: { Networks: { net: { Aliases: ['web'], DNSNames: ['web'] } } } }
      },
      'container.start': async ({ ref }) => {
        if (ref === 'on') throw notModified('it runs')
        if (ref === 'nocmd')
          throw internal('exec: "/nope": executable file not found in $PATH', { details: { exitCode: 127 } })
        return {}
      },
      'container.stop': async () => ({}),
      'container.kill': async ({ ref }) => {
        throw conflict(`container ${ref} is not running`)
      },
      'container.update': async ({ body }) => ({ warnings: [JSON.stringify(body)] }),
      'container.top': async ({ psArgs }) => ({ Titles: [psArgs], Processes: [] }),
      'container.rename': async ({ name }) => {
        if (name === '') throw internal('empty')
        return {}
      },
      'container.resize': async () => ({}),
      'container.pause': async () => ({}),
      'container.unpause': async () => ({}),
      'container.restart': async () => ({}),
      'container.remove': async () => ({}),
      'container.prune': async ({ filters }) => ({ ContainersDeleted: Object.keys(filters), SpaceReclaimed: 0 }),
      'exec.create': async ({ id }) => ({ id }),
      'exec.inspect': async ({ id }) => ({ ID: id }),
    },
  })
})
after(() => gateway.stop())

const t = tester(() => gateway)
const filters = (value: unknown) => encodeURIComponent(JSON.stringify(value))

// list
t('GET', '/containers/json', 200, [{ Id: ID, asked: { all: false, limit: 0 } }])
t('GET', '/containers/json?all=1&size=true&limit=3', 200, [{ asked: { all: true, size: true, limit: 3 } }])
t('GET', `/containers/json?filters=${filters({ label: ['a=b'] })}`, 200, [{ asked: { filters: { label: ['a=b'] } } }])
t('GET', `/containers/json?filters=${filters({ label: { 'a=b': true } })}`, 200, [
  { asked: { filters: { label: ['a=b'] } } },
])
t('GET', `/containers/json?filters=${filters({ nope: ['x'] })}`, 400, { message: /invalid filter 'nope'/ })
t('GET', '/containers/json?filters=[1]', 400, { message: /invalid filter/ })
t('GET', '/containers/json?filters={bad', 400, { message: /invalid filter/ })
t('GET', '/containers/json?limit=x', 400, { message: /"x" for query parameter limit/ })

// inspect, by version
t('GET', '/containers/nope/json', 404, { message: 'No such container: nope' })
t('GET', '/containers/web/json?size=1', 200, { ref: 'web', size: true })
t('GET', '/v1.51/containers/web/json', 200, { NetworkSettings: { Networks: { net: { Aliases: ['web'] } } } })
t('GET', '/v1.44/containers/web/json', 200, {
  NetworkSettings: { Networks: { net: { Aliases: ['web', 'cccccccccccc'] } } },
})
t('GET', '/containers/%2Fweb/json', 200, { ref: 'web' })

// create
t('POST', '/containers/create?name=/web', 201, { Id: /^[0-9a-f]{64}$/, Warnings: ['w'] }, { Image: 'i', Cmd: 'true' })
t('POST', '/containers/create?name=taken', 409, { message: /already in use/ }, { Image: 'i' })
t('POST', '/containers/create', 400, { message: /invalid JSON: got EOF/ })
t('POST', '/containers/create', 400, { message: /Content-Type/ }, '{"Image":"i"}')
t('POST', '/containers/create', 400, { message: /config cannot be empty/ }, { HostConfig: {} })
t(
  'POST',
  '/containers/create',
  400,
  { message: /HostConfig\.Memory must be an integer, not "1g"/ },
  { Image: 'i', HostConfig: { Memory: '1g' } },
)
t('POST', '/containers/create', 400, { message: /Env\[1\] must be a string/ }, { Image: 'i', Env: ['a=b', 3] })
t('POST', '/containers/create', 400, { message: /Labels\.a must be a string/ }, { Image: 'i', Labels: { a: 1 } })
t('POST', '/containers/create', 400, { message: /Tty must be a boolean/ }, { Image: 'i', Tty: 'yes' })
t('POST', '/containers/create', 400, { message: /the body must be an object/ }, [])
t(
  'POST',
  '/v1.43/containers/create',
  400,
  { message: /multiple network endpoints/ },
  { Image: 'i', NetworkingConfig: { EndpointsConfig: { a: {}, b: {} } } },
)
t(
  'POST',
  '/containers/create',
  400,
  { message: /mac-address and the network mode/ },
  { Image: 'i', MacAddress: 'x', HostConfig: { NetworkMode: 'host' } },
)

// life
t('POST', '/containers/web/start', 204)
t('POST', '/containers/on/start', 304)
t('POST', '/containers/nocmd/start', 400, { message: /executable file not found/ })
t('POST', '/containers/web/start?checkpoint=c1', 501, { message: /checkpoint/ })
t('POST', '/containers/web/start', 400, { message: /non-empty request body/ }, { Binds: ['a'] })
t('POST', '/containers/web/stop?t=5&signal=INT', 204)
t('POST', '/containers/web/stop?t=x', 400, { message: /query parameter t/ })
t('POST', '/containers/web/restart', 204)
t('POST', '/containers/web/kill?signal=HUP', 409, { message: /not running/ })
t('POST', '/containers/web/pause', 204)
t('POST', '/containers/web/unpause', 204)
t('POST', '/containers/web/rename?name=/new', 204)
t(
  'POST',
  '/containers/web/update',
  200,
  { Warnings: ['{"Memory":5,"RestartPolicy":{"Name":"no"}}'] },
  { Memory: 5, RestartPolicy: { Name: 'no' }, Devices: null },
)
t('POST', '/containers/web/update', 400, { message: /RestartPolicy must be an object/ }, { RestartPolicy: 'no' })
t('POST', '/containers/web/resize?h=10&w=20', 200)
t('POST', '/containers/web/resize?h=10', 400, { message: /terminal size/ })
t('GET', '/containers/web/top?ps_args=aux', 200, { Titles: ['aux'] })
t('DELETE', '/containers/web?force=1&v=true', 204)
t('DELETE', '/containers/web/db?link=1', 204)
t('POST', `/containers/prune?filters=${filters({ until: ['1h'] })}`, 200, { ContainersDeleted: ['until'] })

// exec
t('POST', '/containers/web/exec', 201, { Id: /^[0-9a-f]{64}$/ }, { Cmd: ['ls'] })
t('POST', '/containers/web/exec', 400, { message: 'No exec command specified' }, {})
t('GET', '/exec/abc/json', 200, { ID: 'abc' })

// streams are asked for properly
t('GET', '/containers/web/logs', 400, { message: /at least one stream/ })
t('GET', '/containers/web/logs?stdout=1&tail=x', 400, { message: /query parameter tail/ })
t('GET', '/containers/web/logs?stdout=1&since=yesterday', 400, { message: /since/ })
t('POST', '/containers/web/wait?condition=never', 400, { message: /invalid condition/ })
