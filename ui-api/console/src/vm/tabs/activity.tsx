import { useQuery } from '@tanstack/react-query';
import type { Vm } from '../../../../client/types.ts';
import { eventsQuery } from '../../api/queries.ts';
import { text } from '../../i18n/text.ts';
import { EventTable } from '../../ui/event-table.tsx';
import { Loaded } from '../../ui/loaded.tsx';

export function ActivityTab({ vm }: { vm: Vm }) {
  const query = useQuery(eventsQuery({ name: vm.name, project: vm.project }));
  return (
    <Loaded query={query} what={text.activity.tabs.events}>
      {(events) => <EventTable events={events} />}
    </Loaded>
  );
}
