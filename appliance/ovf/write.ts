/** A machine → an OVF 1.1 descriptor that VMware, VirtualBox and Croft read. Pure. */
export type OvfOut = {
  name: string;
  cpus: number;
  /** Bytes. */
  memory: number;
  firmware: 'bios' | 'efi';
  disks: { file: string /** Bytes of the file. */; size: number /** Bytes the guest sees. */; capacity: number }[];
  nics: { network: string; mac?: string }[];
};

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const item = (fields: Record<string, string | number>): string =>
  `      <Item>\n${Object.entries(fields)
    // The schema wants the members of an item in alphabetical order.
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `        <rasd:${name}>${escape(String(value))}</rasd:${name}>\n`)
    .join('')}      </Item>\n`;

const diskFormat = 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized';

export function writeOvf({ name, cpus, memory, firmware, disks, nics }: OvfOut): string {
  const networks = [...new Set(nics.map(({ network }) => network))];
  const hardware = [
    item({
      Description: 'Number of virtual CPUs',
      ElementName: `${cpus} virtual CPUs`,
      InstanceID: 1,
      ResourceType: 3,
      VirtualQuantity: cpus,
    }),
    item({
      AllocationUnits: 'byte * 2^20',
      ElementName: 'Memory',
      InstanceID: 2,
      ResourceType: 4,
      VirtualQuantity: Math.ceil(memory / 2 ** 20),
    }),
    item({ Address: 0, ElementName: 'SATA controller', InstanceID: 3, ResourceSubType: 'AHCI', ResourceType: 20 }),
    ...disks.map((_disk, index) =>
      item({
        AddressOnParent: index,
        ElementName: `Disk ${index + 1}`,
        HostResource: `ovf:/disk/vmdisk${index + 1}`,
        InstanceID: 10 + index,
        Parent: 3,
        ResourceType: 17,
      }),
    ),
    ...nics.map(({ network, mac }, index) =>
      item({
        ...(mac === undefined ? {} : { Address: mac }),
        AddressOnParent: index,
        AutomaticAllocation: 'true',
        Connection: network,
        ElementName: `NIC ${index + 1}`,
        InstanceID: 100 + index,
        ResourceSubType: 'E1000e',
        ResourceType: 10,
      }),
    ),
  ].join('');
  const config = firmware === 'efi' ? '      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>\n' : '';
  return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
${disks.map(({ file, size }, index) => `    <File ovf:href="${escape(file)}" ovf:id="file${index + 1}" ovf:size="${size}"/>\n`).join('')}  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
${disks.map(({ capacity }, index) => `    <Disk ovf:capacity="${capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk${index + 1}" ovf:fileRef="file${index + 1}" ovf:format="${diskFormat}"/>\n`).join('')}  </DiskSection>
  <NetworkSection>
    <Info>Networks</Info>
${networks.map((network) => `    <Network ovf:name="${escape(network)}"><Description>${escape(network)}</Description></Network>\n`).join('')}  </NetworkSection>
  <VirtualSystem ovf:id="${escape(name)}">
    <Info>A virtual machine</Info>
    <Name>${escape(name)}</Name>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>${escape(name)}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType>
      </System>
${hardware}${config}    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`;
}
