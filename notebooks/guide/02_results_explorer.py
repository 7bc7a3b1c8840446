# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# %% [markdown]
# (results-explorer)=
# # Results explorer
#
# **Which score do you want to see, and which training made it?** Choose a table, a corpus and a condition. "Minus" shows
# differences to one system, paired over folds or seeds.

# %% tags=["remove-input"]
from robustmer.book import answers, explorer

content = explorer.data()
shown = sum(len(view["cells"]) for view in content["views"])
answers.answer(
    f"This page shows {shown:,} means of the book's tables, made by {len(content['keys']):,} trainings.",
    "Each mean has its interval and the keys of its trainings.",
    "The address keeps your choice, so you can send it.",
)

# %%
explorer.show(content)

# %% [markdown]
# ## How to use it
#
# - A number is a button: it lists the trainings behind the mean. `robustmer rerun KEY` trains one of them again and compares
#   its scores with the stored ones.
# - Intervals of two scores may overlap although the systems differ beyond chance. Choose a system under "Minus" instead.
# - Intervals are not corrected for the number of comparisons. The claims of {ref}`nmer-claims` and {ref}`cdtp-table-1` are.
# - On CMU-MOSI the repetitions are seeds of one split. Their intervals say nothing of other speakers.
# - All controls work by keyboard, and the page needs no network.
