"""A model of the collection, which a search takes through every interleaving of writers, collector, crashes and late listings.

docs/model.rst says what it models. From the bottom up: `rules` (what the protocol obliges everybody to do), `store` (what Swift has and
shows), `writers`, `collector`, `scenes` (who takes part), `search`.
"""
