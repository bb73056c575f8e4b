import { SimSwitchDriver } from '../../../network/sim.ts';
import { describeSwitchDriverContract } from '../../contract/switch-driver.ts';
import { afterAll } from 'vitest';

let driver: SimSwitchDriver | undefined;

afterAll(async () => {
  await driver?.close();
});

// The same switch each time, as a real one would be: the driver is what comes and goes.
describeSwitchDriverContract('sim', async () => {
  driver ??= new SimSwitchDriver();
  await driver.open();
  return driver;
});
