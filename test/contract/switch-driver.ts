/** What every SwitchDriver must do. Each implementation calls this with a way to make a fresh driver on the same switch. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SwitchDriver, WishedPort, WishedSwitch } from '../../network/driver.ts';
import { eventually } from '../helpers/eventually.ts';

const bridge = 'croft0';
const wish = (...ports: WishedPort[]): WishedSwitch => ({ bridge, ports });
const leg = (name: string, place: Partial<WishedPort> = {}): WishedPort => ({
  name,
  type: 'internal',
  owner: { network: name },
  ...place,
});

export function describeSwitchDriverContract(name: string, open: () => Promise<SwitchDriver>): void {
  describe(`SwitchDriver: ${name}`, () => {
    let driver: SwitchDriver;

    beforeEach(async () => {
      driver = await open();
    });

    afterEach(async () => {
      await driver.apply(wish());
      await driver.close();
    });

    const names = async () => (await driver.observe()).ports.map((port) => port.name).toSorted();
    const observed = async (port: string) => (await driver.observe()).ports.find((each) => each.name === port);

    it('has its bridge after open', async () => {
      expect(await driver.observe()).toMatchObject({ bridge, present: true, ports: [] });
    });

    it('makes the wished ports and removes the ones no longer wished', async () => {
      await driver.apply(wish(leg('croft-a', { vlan: 20 }), leg('croft-b', { trunks: [30, 20] })));
      expect(await names()).toEqual(['croft-a', 'croft-b']);
      expect(await observed('croft-a')).toMatchObject({ vlan: 20 });
      expect(await observed('croft-b')).toMatchObject({ trunks: [20, 30] });
      await driver.apply(wish(leg('croft-b', { trunks: [30, 20] })));
      expect(await names()).toEqual(['croft-b']);
    });

    it('moves a port to another VLAN in place', async () => {
      await driver.apply(wish(leg('croft-a', { vlan: 20 })));
      const before = await observed('croft-a');
      await driver.apply(wish(leg('croft-a', { vlan: 30 })));
      expect(await observed('croft-a')).toMatchObject({ vlan: 30, ofport: before?.ofport });
      await driver.apply(wish(leg('croft-a')));
      expect((await observed('croft-a'))?.vlan).toBeUndefined();
    });

    it('does nothing where nothing differs', async () => {
      const same = wish(
        leg('croft-a', { vlan: 20, mtu: 1400, mac: '02:00:00:00:00:01' }),
        leg('croft-i', { isolatedGroup: 'g' }),
      );
      await driver.apply(same);
      await new Promise((resolve) => setTimeout(resolve, 200)); // The notices of the change itself.
      let notices = 0;
      const stop = driver.subscribe(() => notices++);
      await driver.apply(same);
      await new Promise((resolve) => setTimeout(resolve, 200)); // Nothing to wait for: that is the point.
      stop();
      expect(notices).toBe(0);
    });

    it('tells isolated groups apart, and keeps them apart from VLANs', async () => {
      await driver.apply(
        wish(
          leg('croft-a', { isolatedGroup: 'one' }),
          leg('croft-b', { isolatedGroup: 'two' }),
          leg('croft-c', { isolatedGroup: 'one' }),
        ),
      );
      const [a, b, c] = await Promise.all(['croft-a', 'croft-b', 'croft-c'].map(observed));
      expect(a?.vlan).toBeTypeOf('number');
      expect(c?.vlan).toBe(a?.vlan);
      expect(b?.vlan).not.toBe(a?.vlan);
    });

    it('remembers what each port is for', async () => {
      const owner = { vmId: '01890000-0000-7000-8000-000000000001', nic: 'default', network: 'lan' };
      const allowed = { mac: '52:54:00:00:00:01', addresses: ['10.43.0.7'] };
      await driver.apply(wish({ ...leg('croft-a'), owner, allowed }));
      expect(await observed('croft-a')).toMatchObject({ owner, allowed });
    });

    it('tells its listeners of a change', async () => {
      let notices = 0;
      driver.subscribe(() => notices++);
      await driver.apply(wish(leg('croft-a')));
      await eventually(() => notices > 0);
    });

    it('finds everything again after a restart', async () => {
      const same = wish(leg('croft-a', { vlan: 20 }));
      await driver.apply(same);
      await driver.close();
      driver = await open();
      expect(await observed('croft-a')).toMatchObject({ vlan: 20 });
    });
  });
}
