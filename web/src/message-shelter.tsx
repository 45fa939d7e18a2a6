/** What a model wrote cannot take the page down: where it cannot be shown, its plain text is. */

import { Component, type ReactNode } from 'react'

interface Props {
  /** What the children show: they are tried again when it is another one. */
  content: unknown
  /** The plain text of it. */
  instead: string
  children: ReactNode
}

interface State {
  content: unknown
  broken: boolean
}

export class Sheltered extends Component<Props, State> {
  override state: State = { content: this.props.content, broken: false }

  static getDerivedStateFromProps({ content }: Props, state: State): State | null {
    return content === state.content ? null : { content, broken: false }
  }

  static getDerivedStateFromError(): Partial<State> {
    return { broken: true }
  }

  override render(): ReactNode {
    if (!this.state.broken) return this.props.children
    return <p className="plain">{this.props.instead || 'This answer cannot be shown.'}</p>
  }
}
