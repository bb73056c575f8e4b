import KeyIcon from '@patternfly/react-icons/dist/esm/icons/key-icon';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { Token, TokenWithSecret } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { tokensQuery } from '../../api/queries.ts';
import { CreateToken } from '../../forms/create-token.tsx';
import { includesText } from '../../format.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { Age } from '../../ui/age.tsx';
import { useConfirm } from '../../ui/confirm.tsx';
import { Empty } from '../../ui/empty.tsx';
import { Loaded } from '../../ui/loaded.tsx';
import { ResourceTable } from '../../ui/resource-table.tsx';
import { ShownOnce } from '../../ui/shown-once.tsx';
import type { Column } from '../../ui/table-sort.ts';

const columns: readonly Column<Token>[] = [
  { id: 'name', title: text.common.name, sortValue: ({ name }) => name, cell: ({ name }) => <strong>{name}</strong> },
  { id: 'description', title: text.common.description, cell: ({ description }) => description ?? '–' },
  { id: 'role', title: text.settings.role, sortValue: ({ role }) => role, cell: ({ role }) => text.roles[role] },
  { id: 'user', title: text.settings.tokenUser, sortValue: ({ user }) => user, cell: ({ user }) => user ?? '–' },
  {
    id: 'expires',
    title: text.settings.tokenExpires,
    sortValue: ({ expiresAt }) => expiresAt,
    cell: ({ expiresAt }) => (expiresAt ? <Age time={expiresAt} /> : text.settings.tokenNever),
  },
  {
    id: 'lastUsed',
    title: text.settings.tokenLastUsed,
    sortValue: ({ lastUsed }) => lastUsed,
    cell: ({ lastUsed }) => (lastUsed ? <Age time={lastUsed} /> : text.settings.never),
  },
];

export function TokensTab() {
  const query = useQuery(tokensQuery);
  const queries = useQueryClient();
  const [isCreating, setCreating] = useState(false);
  const { ask, question } = useConfirm();
  const [made, setMade] = useState<TokenWithSecret>();
  // The stream says nothing of tokens, so their changes are read again here.
  const refresh = () => queries.invalidateQueries({ queryKey: tokensQuery.queryKey });
  const create = (
    <ActionButton variant="primary" onClick={() => setCreating(true)}>
      {text.settings.tokenCreate}
    </ActionButton>
  );
  return (
    <>
      <Loaded query={query} what={text.settings.tabs.tokens}>
        {(tokens) => (
          <ResourceTable
            label={text.settings.tabs.tokens}
            rows={tokens}
            columns={columns}
            idOf={({ name }) => name}
            nameOf={({ name }) => name}
            matches={({ name, description, user }, filter) => includesText(filter, name, description, user)}
            tools={create}
            actions={({ name }) => [
              {
                id: 'revoke',
                label: text.settings.revoke,
                isDanger: true,
                run: () =>
                  ask({
                    title: text.settings.revokeTitle(name),
                    body: text.settings.revokeBody,
                    submit: text.settings.revoke,
                    run: async () => {
                      await client.tokens.remove(name);
                      await refresh();
                    },
                  }),
              },
            ]}
            empty={
              <Empty title={text.settings.noTokens} icon={KeyIcon} actions={create}>
                {text.settings.noTokensDetail}
              </Empty>
            }
          />
        )}
      </Loaded>
      {isCreating && (
        <CreateToken
          onMade={(token) => {
            setMade(token);
            void refresh();
          }}
          onClose={() => setCreating(false)}
        />
      )}
      {question}
      {made && (
        <ShownOnce
          title={text.settings.secretTitle(made.name)}
          help={text.settings.secretHelp}
          value={made.secret}
          onClose={() => setMade(undefined)}
        />
      )}
    </>
  );
}
